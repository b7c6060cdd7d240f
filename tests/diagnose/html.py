"""A page as html.parser sees it."""

from html.parser import HTMLParser

VOID = {"img", "meta", "br", "link", "input"}


class Page(HTMLParser):
    """tags met, their attributes, the text outside of tags, and which tags were never properly closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.text, self.bad = set(), [], [], "", False

    @classmethod
    def read(cls, source):
        page = cls()
        page.feed(source)
        page.close()
        return page

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if attrs:
            self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag and not self.bad:
            self.open.pop()
        else:
            self.bad = True

    def handle_data(self, data):
        self.text += data

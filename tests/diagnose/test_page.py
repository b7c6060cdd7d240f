"""The page: well-formed, self-contained, and nothing in it but text where text is meant."""

from html.parser import HTMLParser

import matplotlib.pyplot as plt

from mbrl.diagnose.page import document, facts, image, table, tag
from tests.diagnose.html import Page

EVIL = "<script>alert('x')</script> & \"quotes\""


def test_all_text_is_escaped():
    parts = [tag("p", EVIL, "note"), table([EVIL], [[EVIL]], [[""]]), facts({EVIL: EVIL})]
    page = Page.read(document(EVIL, parts))
    assert "script" not in page.tags
    assert page.text.count(EVIL) == 6
    assert page.open == []


def test_an_attribute_cannot_be_left():
    page = Page.read(tag("p", "text", 'x" onclick="evil'))
    assert page.attributes == [("p", {"class": 'x" onclick="evil'})]


def test_a_picture_is_inside_the_page_and_the_same_bytes_twice():
    def drawn():
        picture, axis = plt.subplots()
        axis.plot([0, 1])
        return image(picture, 'alt "text"')

    first = drawn()
    assert first == drawn()
    ((name, attributes),) = Page.read(first).attributes
    assert name == "img"
    assert attributes["alt"] == 'alt "text"'
    assert attributes["src"].startswith("data:image/png;base64,iVBOR")
    assert plt.get_fignums() == []


def test_the_parser_of_these_tests_sees_what_is_wrong():
    assert Page.read("<p><b>x</p>").open == ["p", "b"]
    assert issubclass(Page, HTMLParser)

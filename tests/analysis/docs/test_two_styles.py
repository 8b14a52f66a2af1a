"""The picture at the top of the README shows both styles, and a telephone can show it."""

from xml.etree import ElementTree

import zoo
from zoo.analysis.docs import two_styles

SVG = "{http://www.w3.org/2000/svg}"


def test_a_path_beside_a_skip_connection():
    picture = ElementTree.fromstring(two_styles.drawn())
    words = [text.text for text in picture.iter(f"{SVG}text")]
    assert words.index("Sequential") < words.index("dense, 10") < words.index("Functional") < words.index("add · ReLU")
    # One line of the chain goes down; of the block one goes past two layers.
    chain, block = picture.findall(f"{SVG}g")
    assert [rect.get("class") for rect in block.iter(f"{SVG}rect")].count("joins") == 1
    assert not [rect for rect in chain.iter(f"{SVG}rect") if rect.get("class") == "joins"]
    assert len(picture.findall(f"{SVG}style")) == 1
    assert "prefers-color-scheme: dark" in picture.find(f"{SVG}style").text
    # 390 pixels of a telephone less its margins: a letter of 12 pixels is still one of 10.
    assert int(picture.get("width")) * 10 / 12 < 358


def test_its_nets_are_of_the_styles_that_it_names():
    for title, name, *_ in two_styles.HALVES:
        assert zoo.model_info(name).style == title.lower()
    assert tuple(zoo.model_info(name).family for _, name, *_ in two_styles.HALVES) == two_styles.FAMILIES

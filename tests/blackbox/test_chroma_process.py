"""The Chroma that other tests run against: what they rely on when it is killed, held or restarted."""

import http.client

import pytest

from harness import fetch


def make(chroma, name):
    body = {"name": name, "get_or_create": True}
    answer = fetch(chroma.port, "POST", chroma.DATABASE + "/collections", body)
    assert answer.status == 200, answer


def test_a_chroma_that_was_killed_comes_back_on_its_port_with_its_collections(world):
    chroma = world.chroma()
    url = chroma.url
    make(chroma, "kept")
    chroma.kill9()
    with pytest.raises(ConnectionRefusedError):
        chroma.collections()
    chroma.start()
    assert chroma.url == url
    assert chroma.collections() == ["kept"]


def test_a_chroma_that_was_stopped_comes_back_with_its_collections(world):
    chroma = world.chroma()
    make(chroma, "kept")
    assert chroma.stop() == 0
    chroma.start()
    assert chroma.collections() == ["kept"]


def test_a_chroma_that_is_held_answers_when_it_is_let_go(world):
    chroma = world.chroma()
    chroma.hold()
    with pytest.raises((TimeoutError, http.client.HTTPException)):
        fetch(chroma.port, "GET", "/api/v2/heartbeat", timeout=0.2)
    chroma.let_go()
    assert chroma.collections() == []

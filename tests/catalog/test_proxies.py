"""Which proxy a provider is reached by, from the environment's usual variables."""

import pytest

from scheduler.catalog.proxies import BadProxy, proxy_for
from tests.catalog.written import ACME, KEYED, only

PROXY = "http://proxy.test:3128"
ACME_URL = "https://api.acme.test/v1"
NETWORKS = "192.168.0.0/16,10.0.0.0/8"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        (ACME_URL, {}, ""),
        (ACME_URL, {"HTTPS_PROXY": PROXY}, PROXY),
        (ACME_URL, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test:1"}, PROXY),
        (ACME_URL, {"HTTPS_PROXY": "proxy.test:3128"}, PROXY),
        (ACME_URL, {"HTTPS_PROXY": " "}, ""),
        (ACME_URL, {"HTTP_PROXY": PROXY}, ""),
        ("http://vllm.test:8000/v1", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://vllm.test:8000/v1", {"HTTP_PROXY": PROXY, "NO_PROXY": "vllm.test"}, ""),
        ("http://vllm.test:8000/v1", {"HTTP_PROXY": PROXY, "NO_PROXY": "vllm.test:8000"}, ""),
        ("http://vllm.test:8000/v1", {"HTTP_PROXY": PROXY, "NO_PROXY": "vllm.test:1"}, PROXY),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.test, .acme.test"}, ""),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "API.acme.test"}, ""),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "no_proxy": "*"}, ""),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "no_proxy": ","}, PROXY),
        ("http://10.1.2.3/v1", {"HTTP_PROXY": PROXY, "NO_PROXY": NETWORKS}, ""),
        (
            "http://11.1.2.3/v1",
            {"HTTP_PROXY": PROXY, "NO_PROXY": NETWORKS},
            PROXY,
        ),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,10.0.0.0/x"}, PROXY),
        (ACME_URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "me.test"}, PROXY),
        ("http://127.0.0.1:11434/v1", {"HTTP_PROXY": PROXY}, ""),
        ("http://[::1]:11434/v1", {"HTTP_PROXY": PROXY}, ""),
        ("http://localhost/v1", {"HTTP_PROXY": PROXY}, ""),
    ],
)
def test_the_usual_variables_say_which(url: str, environ: dict[str, str], proxy: str) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize("said", ["socks5://me:secret@proxy.test:1080", "http://:3128", "a:b:c"])
def test_what_is_no_http_proxy_turns_the_provider_off(said: str) -> None:
    with pytest.raises(BadProxy, match="HTTPS_PROXY must be") as caught:
        proxy_for(ACME_URL, {"HTTPS_PROXY": said})
    one = only(ACME, KEYED | {"HTTPS_PROXY": said})

    assert one.off_reason == str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_listing_says_its_proxy_to_workers_and_shows_it_to_nobody() -> None:
    one = only(ACME, KEYED | {"HTTPS_PROXY": "http://me:secret@proxy.test:3128"})

    assert one.is_on
    assert one.access.proxy == "http://me:secret@proxy.test:3128"
    assert "secret@" not in repr(one)

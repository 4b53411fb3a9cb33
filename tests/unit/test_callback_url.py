import msgspec
import pytest

from shared.settings import Settings
from shared.webhooks.callback_url import CallbackUrlRefused, check_callback_url

DEVELOPMENT = Settings(database_url="", redis_url="", storage_url="", secret_key="s" * 32)
PRODUCTION = msgspec.structs.replace(DEVELOPMENT, environment="production")
OPEN = msgspec.structs.replace(DEVELOPMENT, allow_private_webhooks=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks",
        "https://example.com:8443/hooks?token=abc",
        "https://EXAMPLE.com./",
        "https://bücher.example/",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    ],
)
def test_public_addresses_are_taken(url):
    check_callback_url(url, PRODUCTION)


@pytest.mark.parametrize(
    "url",
    [
        # The same loopback address, in every spelling that some resolver or URL reader takes for it.
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://0x7f.0.0.1/",
        "http://0x7f000001/",
        "http://0X7F.1/",
        "http://0/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b:1::127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://127.0.1/",
        "http://0x7f.1/",
        "http://00000177.0.0.1/",
        "http://2130706433./",
        "http://0x7f000001./",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://127。0。0。1/",
        "http://①②⑦.0.0.1/",
        "http://%6c%6fcalhost/",
        "http://127.0.0.1\t/",
        # Others that lead inside, or nowhere.
        "http://10.1.2.3/",
        "http://172.31.255.255/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[ff02::1]/",
        "http://[2001:db8::1]/",
    ],
)
def test_addresses_inside_are_refused_in_every_spelling(url):
    with pytest.raises(CallbackUrlRefused):
        check_callback_url(url, DEVELOPMENT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hooks",
        "//example.com/hooks",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///hooks",
        "http://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http://a..b/",
        "http://[::1",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com/" + "x" * 2048,
        "http://example.com/\r\nHost: inside",
    ],
)
def test_what_is_no_web_address_is_refused_even_where_all_addresses_are_open(url):
    with pytest.raises(CallbackUrlRefused):
        check_callback_url(url, OPEN)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/"]
)
def test_an_operator_can_open_private_addresses(url):
    check_callback_url(url, OPEN)


@pytest.mark.parametrize(
    "url", ["http://224.0.0.1/", "http://0.0.0.0/", "http://[ff02::1]/", "http://240.0.0.1/"]
)
def test_no_operator_opens_what_is_no_host(url):
    with pytest.raises(CallbackUrlRefused):
        check_callback_url(url, OPEN)


def test_plain_http_is_refused_in_production():
    check_callback_url("http://example.com/", DEVELOPMENT)

    with pytest.raises(CallbackUrlRefused, match="https://"):
        check_callback_url("http://example.com/", PRODUCTION)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(CallbackUrlRefused) as refusal:
        check_callback_url("https://me:hunter2@example.com/", PRODUCTION)

    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in str(refusal.value.errors)


def test_the_error_points_at_the_field():
    with pytest.raises(CallbackUrlRefused) as refusal:
        check_callback_url("nonsense", PRODUCTION, pointer="/url")

    assert [error.pointer for error in refusal.value.errors] == ["/url"]

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from shared.webhooks.signing import signed_headers, webhook_secret

# A worked example that Standard Webhooks' own libraries test with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT_AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_of_the_worked_example():
    headers = signed_headers([SECRET], webhook_id=WEBHOOK_ID, sent_at=SENT_AT, body=BODY)

    assert headers == {
        "webhook-id": WEBHOOK_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


@given(body=st.text(min_size=1).map(lambda text: text.encode(errors="replace")), salt=st.binary(max_size=64))
def test_the_standard_library_of_receivers_signs_alike(body: bytes, salt: bytes):
    secret = webhook_secret("k" * 32, salt=salt)

    headers = signed_headers([secret], webhook_id="an id", sent_at=SENT_AT, body=body)

    assert headers["webhook-signature"] == Webhook(secret).sign("an id", SENT_AT, body.decode())


def test_a_receiver_refuses_another_tenants_signature():
    now = datetime.now(UTC)
    body = b'{"type": "job.succeeded"}'
    headers = signed_headers([webhook_secret("k" * 32, salt=b"one")], webhook_id="1", sent_at=now, body=body)

    Webhook(webhook_secret("k" * 32, salt=b"one")).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook_secret("k" * 32, salt=b"another")).verify(body, headers)


def test_a_secret_holds_32_bytes_that_depend_on_the_platforms_key():
    secret = webhook_secret("k" * 32, salt=b"salt")

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret == webhook_secret("k" * 32, salt=b"salt")
    assert secret != webhook_secret("K" * 32, salt=b"salt")


def test_no_access_token_can_be_taken_for_a_secret():
    """Both come from one key by HMAC-SHA256: what is hashed must differ."""
    salt = b"eyJhbGciOiJIUzI1NiJ9.e30"
    token_signature = hmac.digest(b"k" * 32, salt, hashlib.sha256)

    assert base64.b64encode(token_signature).decode() not in webhook_secret("k" * 32, salt=salt)

"""Passwords: hashed with bcrypt, in threads of their own, because one hash takes a fifth of a second."""

import base64
import hashlib

import bcrypt

from shared.access.password_queue import PasswordQueue, passwords_busy

ROUNDS = 12  # 2**12 iterations
_BCRYPT_BYTES = 72  # it takes no more into account, and refuses longer ones

# Of bytes that nobody knows, with as many rounds as real ones: compared with where there is no account.
_NOBODY = "$2b$12$6RyjIqnKM0KEmj.dMD516ODQT2T/PRSH1X0BCtGlILftwdDdKv7b2"


class PasswordHasher:
    """Hashes and compares without stopping the event loop, and no more at once than can be done soon.

    Whoever asks says where the client is, whose network has its turns, and whether a seat is reserved for
    them: they have proved already that they are no flood.
    """

    def __init__(self) -> None:
        self._queue = PasswordQueue()

    async def hash(self, password: str, *, address: str = "", reserved: bool = False) -> str:
        """What is stored in place of the password, of any length.

        Raises:
            PasswordsBusy: too many wait already.
        """
        given = _fitting(password)
        return await self._queue.do(
            lambda: bcrypt.hashpw(given, bcrypt.gensalt(ROUNDS)).decode(), address, reserved=reserved
        )

    async def matches(
        self, password: str, stored: str | None, *, address: str = "", reserved: bool = False
    ) -> bool:
        """Whether the password is the one that was stored. Takes as long when none was.

        Args:
            stored: None: there is no such account; no hash of bcrypt: it is not entered by a password.

        Raises:
            PasswordsBusy: too many wait already.
        """
        usable = stored if stored is not None and stored.startswith("$2") else None
        given, expected = _fitting(password), (usable or _NOBODY).encode()
        same = await self._queue.do(lambda: bcrypt.checkpw(given, expected), address, reserved=reserved)
        return same and usable is not None

    def has_room(self, address: str, *, reserved: bool = False) -> bool:
        """Whether a password from there would be taken on now."""
        return self._queue.has_room(address, reserved=reserved)

    def check_room(self, address: str, *, reserved: bool = False) -> None:
        """Tell whoever would be refused at once, before anything is looked up for them.

        Raises:
            PasswordsBusy: too many wait already.
        """
        if not self.has_room(address, reserved=reserved):
            raise passwords_busy()

    def close(self) -> None:
        """End the threads."""
        self._queue.close()


def _fitting(password: str) -> bytes:
    """What bcrypt takes into account: the password, or of a longer one its SHA-384.

    A phrase of 64 characters may have 256 bytes. Source: NIST SP 800-63B-4, section 3.1.1.2: phrases of so
    many characters are accepted, and every one of them counts.
    """
    spelled = password.encode()
    if len(spelled) <= _BCRYPT_BYTES:
        return spelled
    return base64.b64encode(hashlib.sha384(b"modelyard password" + spelled).digest())

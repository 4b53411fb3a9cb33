"""Who did it, and what it was done to."""

from enum import StrEnum
from typing import Self
from uuid import UUID

import msgspec

from shared.access.caller import Caller


class ActorType(StrEnum):
    """What kind of somebody."""

    USER = "user"
    KEY = "key"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"  # did not prove who they are, as whoever mistakes a password


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who acts. The name is looked up where it is None and there is an id."""

    type: ActorType
    id: UUID | None = None
    name: str | None = None

    @classmethod
    def of(cls, caller: Caller) -> Self:
        """The key that they came with, else they themselves."""
        if caller.key_id is not None:
            return cls(type=ActorType.KEY, id=caller.key_id)
        return cls(type=ActorType.USER, id=caller.user_id)

    @classmethod
    def user(cls, user_id: UUID, email: str) -> Self:
        """Of a request without credentials, such as a log-in: whom it turned out to be of."""
        return cls(type=ActorType.USER, id=user_id, name=email)


SYSTEM = Actor(type=ActorType.SYSTEM)
ANONYMOUS = Actor(type=ActorType.ANONYMOUS)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What something was done to.

    Attributes:
        type: "model", "version", "job", "api_key", …: in the singular, as actions begin.
        name: as its owner calls it, if they do.
    """

    type: str
    id: UUID | None = None
    name: str | None = None

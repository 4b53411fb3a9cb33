"""A user's own account: its name, address and password; and a way back for whoever forgot that."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from api.openapi import ANYBODY, SESSION_ONLY, answers
from api.permissions import OWN_AFFAIRS
from api.rate_limit import LIMITED_AS_LOGIN
from api.routes.accounts import LOGIN, Email, Name, NewPassword, UserAnswer, user_answer
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.own_account import AccountChange, OwnAccount
from shared.access.password_reset import PasswordResets

GivenPassword = Annotated[str, Meta(max_length=1000)]  # compared, not set
RevokeKeys = Annotated[
    bool, Meta(description="Also revoke every API key that you made, in all of your organisations.")
]


class MeChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; what is left out stays. Another email address takes the password."""

    full_name: Name | None = None
    email: Email | None = None
    password: GivenPassword = ""
    home_organization_id: Annotated[
        UUID | None, Meta(description="Which of the caller's organisations a log-in starts in.")
    ] = None


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The present password, and the one to be."""

    old_password: GivenPassword
    new_password: NewPassword
    revoke_api_keys: RevokeKeys = False


class ResetRequested(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who forgot their password."""

    email: Email


class ResetConfirmed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of the mail, and the password to be."""

    token: Annotated[str, Meta(max_length=200)]
    new_password: NewPassword
    revoke_api_keys: RevokeKeys = False


class ResetAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every address."""

    detail: str = "if this address has an account, a mail with a token is on its way to it"


@patch(
    "/me",
    status_code=200,
    opt=LIMITED_AS_LOGIN,
    security=SESSION_ONLY,
    responses=answers(401, 403, 404, 409, 422),
)
async def change_me(
    data: JSONBody[MeChanges],
    caller: NamedDependency[Caller],
    own_account: NamedDependency[OwnAccount],
    client: NamedDependency[Client],
) -> UserAnswer:
    """Change the caller's name, email address or home. Both addresses are told of it by mail."""
    wanted = AccountChange(full_name=data.full_name, email=data.email, home=data.home_organization_id)
    user = await own_account.change(caller, wanted, password=data.password, client=client)
    return user_answer(user, caller.tenant_id)


@post(
    "/password",
    status_code=204,
    opt=LIMITED_AS_LOGIN,
    security=SESSION_ONLY,
    responses=answers(401, 403, 422),
)
async def change_password(
    data: JSONBody[PasswordChange],
    caller: NamedDependency[Caller],
    own_account: NamedDependency[OwnAccount],
    client: NamedDependency[Client],
) -> None:
    """Set another password. Every other session of the caller ends; API keys go on, unless you say otherwise.

    With `revoke_api_keys` every key that the caller made, in whatever organisation, stops within a second.
    """
    await own_account.change_password(
        caller,
        old=data.old_password,
        new=data.new_password,
        client=client,
        revoke_api_keys=data.revoke_api_keys,
    )


@post("/password-reset", status_code=202, opt=LOGIN, security=ANYBODY, responses=answers(422))
async def ask_for_reset(
    data: JSONBody[ResetRequested], password_resets: NamedDependency[PasswordResets]
) -> ResetAnswer:
    """Have a token mailed that sets another password. The answer is the same where nobody has the address."""
    await password_resets.ask(data.email)
    return ResetAnswer()


@post("/password-reset/confirm", status_code=204, opt=LOGIN, security=ANYBODY, responses=answers(422))
async def confirm_reset(
    data: JSONBody[ResetConfirmed],
    password_resets: NamedDependency[PasswordResets],
    client: NamedDependency[Client],
) -> None:
    """Set another password with the token of the mail, which works once. Every session of the user ends.

    API keys go on; with `revoke_api_keys` every key that the user made, in whatever organisation, stops
    within a second.
    """
    await password_resets.confirm(
        data.token,
        new_password=data.new_password,
        client=client,
        revoke_api_keys=data.revoke_api_keys,
    )


own_account_routes = Router(
    "/auth",
    route_handlers=[change_me, change_password, ask_for_reset, confirm_reset],
    opt=OWN_AFFAIRS,
    tags=["Accounts"],
)

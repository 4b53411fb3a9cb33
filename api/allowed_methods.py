"""What OPTIONS answers: every method of an address."""

from litestar import Litestar
from litestar.routes import HTTPRoute


def tell_all_methods(app: Litestar) -> None:
    """Mend `Allow`: Litestar writes it with the first handler of an address, and knows no others then."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            handler, _ = route.route_handler_map["OPTIONS"]
            handler._fn = route.create_options_handler(route.path).fn  # noqa: SLF001  there is no other way in

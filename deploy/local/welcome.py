"""What the terminal shows when the platform is ready."""

from pathlib import Path

from shared.settings import Settings


def text(settings: Settings, folder: Path) -> str:
    """Where to look, and the first command to type."""
    return f"""
  Modelyard is ready.

    API    {settings.public_url}/api/v1
    Docs   {settings.public_url}/docs
    Data   {folder}

  First, make an account:

    curl -X POST {settings.public_url}/api/v1/auth/register -H "Content-Type: application/json" \\
      -d '{{"email": "user@example.com", "password": "SecureP@ss123", "full_name": "John Doe"}}'

  Ctrl-C stops everything; the data stay.
"""

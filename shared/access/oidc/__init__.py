"""Log-in by OpenID Connect: somebody proves to a provider who they are, and the provider tells us."""

"""Environments beside the platform's own: with the library versions that a model was made with.

Built by uv out of wheels alone, so that nothing of a package runs while it is installed; kept in a folder
under the digest of what is in them, and shared by all models that ask for the same.
"""

// Starts ReDoc on /redoc. In a file of its own, so that the page needs no inline scripts.
Redoc.init("/openapi.json", { disableSearch: false, hideDownloadButton: false }, document.getElementById("ui"));

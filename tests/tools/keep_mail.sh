#!/bin/sh
# A mail program for tests: keeps the last letter beside the server's data.
exec cat >"${PLUVIO_MAIL:?}"

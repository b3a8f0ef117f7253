#!/bin/sh
# A mail program for tests: keeps the last letter in the file PLUVIO_MAIL, which appears when it is whole.
cat >"${PLUVIO_MAIL:?}.new" && mv "$PLUVIO_MAIL.new" "$PLUVIO_MAIL"

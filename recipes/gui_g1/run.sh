#!/usr/bin/env bash
RECIPE=$(dirname -- "${BASH_SOURCE[0]}") exec bash "$(dirname -- "${BASH_SOURCE[0]}")/../base/run.sh" "$@"

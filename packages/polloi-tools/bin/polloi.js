#!/usr/bin/env node
// The entry point of the command exists before the build, so that npm can link it.
import "../dist/main.js";

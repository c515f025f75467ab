"""``python -m vqgrader``."""

from vqgrader.command import main

main()

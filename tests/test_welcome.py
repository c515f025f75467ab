"""What the first cell of a chapter prints."""

import keras
import pytest

import vqlib
from vqlib.book.profiles import Profile


@pytest.mark.parametrize("name", list(Profile))
def test_setup_is_shown_for_every_profile(name, clean_environment, capsys):
    clean_environment.setenv("VQLIB_PROFILE", name)
    vqlib.show_setup("the training, 3 minutes")
    versions, device, profile, long = capsys.readouterr().out.splitlines()
    assert vqlib.__version__ in versions
    assert keras.__version__ in versions
    assert "processor cores" in device
    assert profile == f'Profile "{name.value}": {name.sentence}'
    assert long == 'Takes long, in the profile "default": the training, 3 minutes'

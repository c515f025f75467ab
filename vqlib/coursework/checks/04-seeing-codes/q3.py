from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(painters):
    import functools
    import numpy as np
    from vqlib.coursework import call, compare, probe
    layers = [['Input', {'shape': [2, 3, 2]}], ['Conv2DTranspose', {'filters': 1, 'kernel_size': 3, 'strides': 2, 'padding': 'same', 'use_bias': False}]]
    weights = [np.ones((3, 3, 1, 2), 'float32') * np.array([1, -1], 'float32')]
    z = np.array([0.5, -0.25], 'float32') * np.arange(1, 7).reshape(1, 2, 3, 1).astype('float32')
    found = call(functools.partial(probe, 'with_network', painters), layers, weights, z, 2, 3)
    mistakes = {'No cell has a say. Do the entries of a vector cancel, or is nothing differentiated?': np.zeros((2, 3), bool), 'Are row and column of the pixel in their places?': [[False, False, False], [True, True, False]], 'All cells have a say. Is it one pixel that you look at, or the whole image?': np.ones((2, 3), bool), 'The patches of neighbours overlap: a pixel is not painted by the nearest code alone.': [[False, False, False], [False, True, False]], 'Is it the other way round: True where a cell has a say?': [[True, False, True], [True, False, True]]}
    expected = [[False, True, False], [False, True, False]]
    compare(found, expected, 'the grid of cells with a say in the pixel (2, 3)', mistakes)

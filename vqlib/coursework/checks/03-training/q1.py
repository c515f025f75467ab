from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_shapes(build):
    import numpy as np
    from vqlib.coursework import call
    models = call(build, (24, 16, 3), [6, 10], 5)
    if not isinstance(models, (tuple, list)) or len(models) != 2:
        raise AssertionError('build should return two models, the encoder and the decoder.')
    causes = {(2, 24, 16, 5): 'Which layers halve the size?', (2, 4, 2, 5): 'A stride of 2 does not halve the size exactly. How is the image padded?', (2, 6, 4, 10): 'The last layer, to embedding_dim, is missing.', (2, 12, 8, 5): 'One of the two halvings is missing.'}
    shape = np.shape(call(models[0], np.zeros((2, 24, 16, 3), 'float32')))
    if shape != (2, 6, 4, 5):
        hint = causes.get(shape, '')
        raise AssertionError(f'From (2, 24, 16, 3) the encoder makes {shape}, instead of (2, 6, 4, 5). {hint}')
    causes = {(2, 24, 16, 1): 'How many channels has the image?', (2, 6, 4, 3): 'Which layers double the size?', (2, 12, 8, 3): 'One of the two doublings is missing.', (2, 24, 16, 6): 'The last layer, to the channels of the image, is missing.'}
    shape = np.shape(call(models[1], np.zeros((2, 6, 4, 5), 'float32')))
    if shape != (2, 24, 16, 3):
        hint = causes.get(shape, '')
        raise AssertionError(f'From (2, 6, 4, 5) the decoder makes {shape}, instead of (2, 24, 16, 3). {hint}')

@test_case(points=0, hidden=False)
def test_q1_numbers_are_there(env):
    import numpy as np
    for name, length, what in (('my_grid', 2, 'height and width'), ('my_parameters', 3, 'encoder, decoder, encoder')):
        value = env.get(name)
        if value is None or value is ... or np.shape(value) != (length,):
            raise AssertionError(f'{name} should hold {length} numbers: {what}.')

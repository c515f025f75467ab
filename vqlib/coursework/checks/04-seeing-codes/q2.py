from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(field):
    import numpy as np
    from vqlib.coursework import call, compare
    cases = [((3, 3, 1), (2, 2, 1), 28, 3), ((3, 3, 1), (2, 2, 1), 28, 6), ((5, 4), (1, 2), 12, 0), ((3, 5), (2, 1), 9, 2)]
    found = [np.asarray(call(field, *case)) for case in cases]
    mistakes = {'A padded zero is not a pixel: the image ends at 0 and at size - 1.': [(12, 18), (24, 30), (-3, 4), (-1, 9)], 'The padding before the first input moves the field. Where is it?': [(12, 18), (24, 27), (0, 7), (4, 8)], 'The way from a code to its pixels begins at the last layer.': [(12, 18), (24, 27), (0, 6), (1, 7)], 'The last pixel is the last one inside, not the first one outside.': [(12, 19), (24, 28), (0, 5), (0, 9)]}
    compare(np.array(found), [(12, 18), (24, 27), (0, 4), (0, 8)], 'the array of first and last pixels', mistakes)

@test_case(points=0, hidden=False)
def test_q2_form(env):
    import math
    for name in ('my_kernels', 'my_strides'):
        if env.get(name) is None or env.get(name) is ...:
            raise AssertionError(f'There is no value yet for {name}.')
    kernels, strides = ([int(n) for n in env[name]] for name in ('my_kernels', 'my_strides'))
    if len(kernels) != 3 or len(strides) != 3:
        raise AssertionError('Three kernels and three strides are asked for.')
    if not all((1 <= stride <= kernel <= 5 for kernel, stride in zip(kernels, strides, strict=True))):
        raise AssertionError('No kernel is smaller than its stride, and none larger than 5.')
    if math.prod(strides) != env['my_jump']:
        raise AssertionError(f"Your codes lie {math.prod(strides)} pixels apart, and {env['my_jump']} are asked for.")

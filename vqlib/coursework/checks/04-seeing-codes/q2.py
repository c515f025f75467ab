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

    def walk(kernels, strides, size, index, backward=True, padded=True, clipped=True):
        first, last, order = (index, index, list(zip(kernels, strides, strict=True)))
        sizes = [size]
        for _, stride in order:
            sizes.append(int(np.ceil(sizes[-1] / stride)))
        layers = list(zip(order, sizes, sizes[1:], strict=False))
        for (k, s), n, m in layers[::-1] if backward else layers:
            before = max((m - 1) * s + k - n, 0) // 2 if padded else 0
            first, last = (first * s - before, last * s - before + k - 1)
        return (max(first, 0), min(last, size - 1)) if clipped else (first, last)
    mistakes = {'A padded zero is not a pixel: the image ends at 0 and at size - 1.': [walk(*c, clipped=False) for c in cases], 'The padding before the first input moves the field. Where is it?': [walk(*c, padded=False) for c in cases], 'The way from a code to pixels begins at the last layer.': [walk(*c, backward=False) for c in cases], 'The last pixel counts, too: it is the last one inside, not the first one outside.': [(first, last + 1) for first, last in (walk(*c) for c in cases)]}
    compare(np.array(found), [(12, 18), (24, 27), (0, 4), (0, 8)], 'the array of first and last pixels', mistakes)

@test_case(points=0, hidden=False)
def test_q2_form(env):
    import math
    from vqlib.coursework import compare
    for name in ('my_kernels', 'my_strides'):
        if env.get(name) is None or env.get(name) is ...:
            raise AssertionError(f'There is no value yet for {name}.')
    kernels, strides = ([int(n) for n in env[name]] for name in ('my_kernels', 'my_strides'))
    if len(kernels) != 3 or len(strides) != 3:
        raise AssertionError('Three kernels and three strides are asked for.')
    if not all((1 <= stride <= kernel <= 5 for kernel, stride in zip(kernels, strides, strict=True))):
        raise AssertionError('No kernel is smaller than its stride, and none larger than 5.')
    mistakes = {'The strides multiply: each layer steps over the steps of the one before.': sum(strides)}
    compare(env['my_jump'], math.prod(strides), 'the product of my_strides, beside my_jump,', mistakes)

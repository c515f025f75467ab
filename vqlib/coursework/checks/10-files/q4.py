from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_seal(seal):
    import zlib
    import numpy as np
    from vqlib.coursework import expect

    def form(content, fingerprint, covered, order='big', form='{m}{c}{f}{d}'):
        parts = {'m': b'vq10', 'f': bytes(fingerprint), 'd': bytes(content)}
        parts['c'] = zlib.crc32(b''.join((parts[each] for each in covered))).to_bytes(4, order)
        return np.frombuffer(b''.join((parts[each] for each in form if each in parts)), 'uint8')
    content, fingerprint = (np.arange(9, dtype='uint8'), np.array([7, 0, 255, 3], 'uint8'))
    mistakes = {'The check value covers all that follows it, the fingerprint too.': form(content, fingerprint, 'd'), 'The check value covers what follows it. The beginning stands before it.': form(content, fingerprint, 'mfd'), 'The highest byte comes first.': form(content, fingerprint, 'fd', 'little'), 'Where is the check value?': form(content, fingerprint, 'fd', form='mfd'), 'The check value stands before the fingerprint.': form(content, fingerprint, 'fd', form='mfcd'), 'Where does it say whose it is? It begins with MAGIC.': form(content, fingerprint, 'fd', form='cfd')}
    expect(seal, (content, fingerprint), form(content, fingerprint, 'fd'), 'the array of bytes', mistakes)

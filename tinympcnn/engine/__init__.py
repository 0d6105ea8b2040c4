"""How the loops of Algorithms 1 and 2 are run: which blocks, on which threads, in which memory.

The layers say what is computed for a block of fragments and rows; this package alone decides how storages are cut.
On a CPU a block is small enough for its windows to stay in cache, worker threads take blocks in turn, and BLAS
runs single-threaded inside each. On a GPU a block is as much of the storage as the workspace allows, and there
are no threads. Three rules make results independent of the number of threads and of how an image is tiled:

1. In a forward pass the products with one matrix have numbers of rows for which BLAS rounds a row alike: those that
   `product_rows` allows, by a measurement. The last product is filled up with zeros.
2. Some BLAS kernels round a row differently depending on its place in the product, with a period. `row_period`
   measures that period, and every row of a map starts at a multiple of it.
3. Sums over blocks run in a fixed number of lanes, each in block order, and the lanes are added in order.
"""

from __future__ import annotations

from tinympcnn.engine.blocks import DEVICE_BYTES, STRIP_BYTES, Block, block_bytes, cache_blocks, window_blocks
from tinympcnn.engine.correlation import correlate, correlate_back, correlate_grad
from tinympcnn.engine.im2col import columns, window_gradients, window_products
from tinympcnn.engine.kernels import elementwise, route_back, split_maxima
from tinympcnn.engine.matmul import describe_products, multiply, multiply_both, pitch, row_period
from tinympcnn.engine.threads import accumulate, available_cores, get_threads, run, set_threads, single_threaded_blas
from tinympcnn.engine.workspace import contiguous, copy, empty, release_memory

__all__ = ["DEVICE_BYTES", "STRIP_BYTES", "Block", "block_bytes", "cache_blocks", "window_blocks"]
__all__ += ["columns", "correlate", "correlate_back", "correlate_grad", "multiply"]
__all__ += ["multiply_both", "pitch", "row_period"]
__all__ += ["accumulate", "available_cores", "get_threads", "run", "set_threads", "single_threaded_blas"]
__all__ += ["describe_products", "elementwise", "route_back", "split_maxima"]
__all__ += ["contiguous", "copy", "empty", "release_memory", "window_gradients", "window_products"]

/* numpy's OpenBLAS takes 64-bit integers and renames its symbols; MLX calls the standard names with 32-bit ones. */
#include <stdint.h>

#define GEMM(p, element, scalar)                                                              \
  void scipy_cblas_##p##gemm64_(int, int, int, int64_t, int64_t, int64_t, scalar,             \
                                const element *, int64_t, const element *, int64_t, scalar,   \
                                element *, int64_t);                                          \
  void cblas_##p##gemm(int order, int trans_a, int trans_b, int m, int n, int k,              \
                       scalar alpha, const element *a, int lda, const element *b, int ldb,    \
                       scalar beta, element *c, int ldc) {                                    \
    scipy_cblas_##p##gemm64_(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta,   \
                             c, ldc);                                                         \
  }

GEMM(s, float, float)
GEMM(d, double, double)
GEMM(c, void, const void *)
GEMM(z, void, const void *)

// Package lab makes private network namespaces with real traffic through the real kernel: for ctview demo, and for
// every test that needs a kernel.
//
// An NS is one anonymous namespace. Nothing names it in the file system: file descriptors of this process hold it, so
// it and all that is in it dies with the process, however that ends. NewNS makes a bare one.
//
// The package is not for production paths: it needs root, or a user namespace (see Command).
package lab

// Package gcsblob takes the place of upstream's: a state in that cloud has no driver in this build.
package gcsblob

// Scheme is how the address of such a state begins.
const Scheme = "gs"

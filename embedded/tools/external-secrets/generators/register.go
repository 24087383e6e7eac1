// Package register takes the place of upstream's list of generators: none is used.
package register

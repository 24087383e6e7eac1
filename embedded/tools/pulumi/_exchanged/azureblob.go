// Package azureblob takes the place of upstream's: a state in that cloud has no driver in this build.
package azureblob

// Package cmd holds the programs of the Lambdas, a folder for each. Its tests run them as they are shipped.
package cmd

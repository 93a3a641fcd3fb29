// Package e2e holds the clouds' official SDKs against our protocols, unmodified. It is a module of
// its own, so that no SDK becomes a dependency of sluice.
package e2e

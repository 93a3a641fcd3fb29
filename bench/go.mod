module github.com/sluicehq/sluice/bench

go 1.26.0

require (
	github.com/lxzan/gws v1.8.9
	github.com/sluicehq/sluice v0.0.0
)

require (
	github.com/dolthub/maphash v0.1.0 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
	github.com/google/btree v1.1.3 // indirect
	github.com/klauspost/compress v1.17.11 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/sluicehq/sluice => ../

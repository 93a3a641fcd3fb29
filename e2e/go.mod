module github.com/sluicehq/sluice/e2e

go 1.26.0

require (
	github.com/aliyun/aliyun-tablestore-go-sdk v4.1.3+incompatible
	github.com/gobwas/ws v1.5.0
	github.com/google/go-cmp v0.7.0
	github.com/sluicehq/sluice v0.0.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/golang/protobuf v1.5.3 // indirect
	github.com/google/btree v1.1.3 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	gopkg.in/check.v1 v1.0.0-20201130134442-10cb98267c6c // indirect
)

replace github.com/sluicehq/sluice => ../

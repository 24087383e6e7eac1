// Programs of the images that the real node runs, as far as they are not built anyway.
module zero-trust/embedded/tools/images

go 1.26.6

tool (
	zero-trust/embedded/tools/images/api
	zero-trust/embedded/tools/images/pause
)

require github.com/jackc/pgx/v5 v5.13.0

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	golang.org/x/text v0.41.0 // indirect
)

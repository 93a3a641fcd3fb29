package tablestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/table"
)

// fault is an answer other than success: an HTTP status and the fields of message Error.
type fault struct {
	Status  int
	Code    string
	Message string
}

// Error is the code and the message.
func (f *fault) Error() string { return f.Code + ": " + f.Message }

// ofRow reports whether, in a batch, the fault is that of one row and not of the whole request.
func (f *fault) ofRow() bool { return f.Code == codeKey }

// codeKey is the one code that the batch operations have to tell from others.
const codeKey = "OTSInvalidPK"

// codeRange is of rows that are not those of a transaction or an atomic batch.
const codeRange = "OTSDataOutOfRange"

// invalid is OTSParameterInvalid, the code of most mistakes.
func invalid(format string, args ...any) *fault {
	return &fault{400, "OTSParameterInvalid", fmt.Sprintf(format, args...)}
}

func badKey(format string, args ...any) *fault {
	return &fault{400, codeKey, fmt.Sprintf(format, args...)}
}

// refused says why the caller is not let in.
func refused(format string, args ...any) *fault {
	return &fault{403, "OTSAuthFailed", fmt.Sprintf(format, args...)}
}

// The faults whose text never varies.
var (
	faultMethod      = &fault{405, "OTSMethodNotAllowed", "Only POST method for requests is supported."}
	faultBody        = &fault{413, "OTSRequestBodyTooLarge", "The size of POST data is too large."}
	faultSlow        = &fault{408, "OTSRequestTimeout", "Request timeout."}
	faultMissing     = &fault{404, "OTSObjectNotExist", "Requested table does not exist."}
	faultExists      = &fault{409, "OTSObjectAlreadyExist", "Requested table already exists."}
	faultCondition   = &fault{403, "OTSConditionCheckFail", "Condition check failed."}
	faultConflict    = &fault{409, "OTSRowOperationConflict", "Data is being modified by the other request."}
	faultRowSize     = &fault{400, "OTSOutOfRowSizeLimit", "The total data size of columns in one row exceeded the limit."}
	faultNoStream    = &fault{404, "OTSObjectNotExist", "Requested stream does not exist."}
	faultTrimmed     = &fault{400, "OTSTrimmedDataAccess", "Requested stream data is already trimmed or does not exist."}
	faultExpired     = &fault{400, "OTSSessionExpired", "ScanQuery'session is expired, please retry ComputeSplitsRequest and ScanQuery."}
	faultNoSession   = &fault{400, "OTSSessionNotExist", "Session not exist or may be timeout."}
	faultInSession   = &fault{400, "OTSSessionBusy", "Session is busy."}
	faultSessionSize = &fault{400, "OTSOutOfTransactionDataSizeLimit", fmt.Sprintf("The total data size of the transaction exceeds the limit, limit size: %d.", maxTransactionSize)}
	faultBusy        = &fault{503, "OTSServerBusy", "Server is busy."}
	faultTimeout     = &fault{503, "OTSTimeout", "Operation timeout."}
	faultDown        = &fault{503, "OTSServerUnavailable", "Server is not available."}
	faultInternal    = &fault{500, "OTSInternalServerError", "Internal server error."}
)

func tooManyTables(quota int) *fault {
	return &fault{403, "OTSQuotaExhausted", fmt.Sprintf("Number of tables exceeds the quota:%d.", quota)}
}

func outOfAtomic(atomic, data string) *fault {
	return &fault{400, codeRange, fmt.Sprintf("Data out of scope of atomic. Atomic PartKey:%s. Data PartKey:%s", atomic, data)}
}

func noSearchIndex(name string) *fault {
	return &fault{400, "OTSMetaNotMatch", fmt.Sprintf("search index [%s] does not exist", name)}
}

func searchIndexExists(name string) *fault {
	return &fault{409, "OTSObjectAlreadyExist", fmt.Sprintf("search index [%s] already exists", name)}
}

// faultOf words an error of the rooms as Tablestore would. Whoever sends a faultInternal has to log err.
func faultOf(err error) *fault {
	var f *fault
	var missing *table.MissingError
	var exists *table.ExistsError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &missing):
		return faultMissing
	case errors.As(err, &exists):
		return faultExists
	case errors.Is(err, table.ErrEnded):
		return faultNoSession
	case errors.Is(err, table.ErrBusy):
		return faultInSession
	case errors.Is(err, kv.ErrConflict), errors.Is(err, table.ErrHeld):
		return faultConflict
	case errors.Is(err, kv.ErrTooLarge):
		return faultRowSize
	case errors.Is(err, kv.ErrUnavailable), errors.Is(err, kv.ErrClosed):
		return faultDown
	case errors.Is(err, kv.ErrTooLong), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return faultTimeout
	}
	switch sluice.KindOf(err) {
	case sluice.Invalid:
		return invalid("%s", err)
	case sluice.Conflict:
		return faultConflict
	case sluice.TooMuch:
		return faultRowSize
	case sluice.Throttled:
		return faultBusy
	case sluice.Timeout:
		return faultTimeout
	case sluice.Unavailable:
		return faultDown
	}
	return faultInternal
}

package lambda

import "regexp"

// MaxEnv is how many bytes the names and values of a function's environment have at the most (section 3.4).
const MaxEnv = 4 << 10

var (
	validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	runtimes  = regexp.MustCompile(`^(nodejs(4\.3|6\.10|8\.10|\d\d\.x)|python3\.\d{1,2}|provided(\.al2|\.al2023)?|go1\.x)$`)
	reserved  = regexp.MustCompile(`^(_HANDLER|_X_AMZN_TRACE_ID|AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|AWS_LAMBDA_(FUNCTION_(NAME|MEMORY_SIZE|VERSION)|INITIALIZATION_TYPE|LOG_GROUP_NAME|LOG_STREAM_NAME|RUNTIME_API)|AWS_ACCESS_KEY(_ID)?|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|LAMBDA_(TASK_ROOT|RUNTIME_DIR))$`)
)

// ValidName reports whether a function may have a name.
func ValidName(name string) bool { return validName.MatchString(name) }

// Runs reports whether a runtime is one that AWS has or had and sluice runs (section 3.6).
func Runs(runtime string) bool { return runtimes.MatchString(runtime) }

// Reserved reports whether an environment variable is Lambda's own (section 3.4).
func Reserved(variable string) bool { return reserved.MatchString(variable) }

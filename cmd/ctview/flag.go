package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"ctview/model/filter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An option is a flag's value of any type. Its errors are the words that follow the value in a message.
type option[T any] struct {
	to    *T
	parse func(string) (T, error)
	show  func(T) string
	kind  string
}

// Set implements pflag.Value.
func (o *option[T]) Set(s string) (err error) {
	v, err := o.parse(s)
	if err == nil {
		*o.to = v
	}
	return err
}

func (o *option[T]) String() string { return o.show(*o.to) }
func (o *option[T]) Type() string   { return o.kind }

// addDuration adds a flag that is a time: 30s, 5m, 1h30m, 2d, or seconds alone.
func addDuration(f *pflag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	show := func(d time.Duration) string {
		if d == 0 {
			return "0" // pflag leaves this default out
		}
		return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
	}
	if value%time.Minute != 0 {
		show = func(d time.Duration) string { return d.String() }
	}
	f.Var(&option[time.Duration]{to, parseDuration, show, "duration"}, name, usage)
}

func parseDuration(s string) (time.Duration, error) {
	d, err := filter.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("must not be negative")
	}
	return d, err
}

// addSeconds adds -t, --timeout: a time as the kernel counts it, in seconds.
func addSeconds(f *pflag.FlagSet, to *uint32, usage string) {
	parse := func(s string) (uint32, error) {
		d, err := parseDuration(s)
		switch {
		case err != nil:
			return 0, err
		case d%time.Second != 0:
			return 0, errors.New("is no whole number of seconds")
		case d/time.Second > math.MaxUint32:
			return 0, errors.New("is more than the kernel can count")
		}
		return uint32(d / time.Second), nil
	}
	show := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	f.VarP(&option[uint32]{to, parse, show, "duration"}, "timeout", "t", usage)
}

// addSize adds a flag that is a number of bytes: 65536, 64k, 64Mi.
func addSize(f *pflag.FlagSet, to *int, name, usage string) {
	parse := func(s string) (int, error) {
		n, err := filter.ParseBytes(s)
		if err == nil && n > math.MaxInt32 { // SO_RCVBUF is an int
			err = errors.New("is too large")
		}
		return int(n), err
	}
	f.Var(&option[int]{to, parse, strconv.Itoa, "size"}, name, usage)
}

// mayBeEmpty is the annotation of a flag to which "" means something.
const mayBeEmpty = "ctview-may-be-empty"

// A needed is a flag's value that refuses "": an empty variable in a script must not mean that the flag was not given.
type needed struct{ pflag.Value }

var errEmptyValue = errors.New("the value is empty")

// Set implements pflag.Value.
func (n needed) Set(s string) error {
	if s == "" {
		return errEmptyValue
	}
	return n.Value.Set(s)
}

// refuseEmpty lets no flag of cmd or of a command below it be given as "", but those that mayBeEmpty marks.
func refuseEmpty(cmd *cobra.Command) {
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if _, done := f.Value.(needed); !done && f.Annotations[mayBeEmpty] == nil {
				f.Value = needed{f.Value}
			}
		})
	}
	for _, c := range cmd.Commands() {
		refuseEmpty(c)
	}
}

// refuseEmptyWord refuses an operand that is "": it is a variable that was not set, and what is left of the command
// would mean more than was asked for.
func refuseEmptyWord(cmd *cobra.Command, args []string) error {
	if cmd.DisableFlagParsing || strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return nil // conntrack(8) has its own rules, and a shell asks what may follow
	}
	for _, a := range args {
		if strings.TrimSpace(a) == "" {
			return usageError{cmd.CommandPath() + ": an argument is empty", "leave it out if it is meant to be nothing; an unset variable in a script?"}
		}
	}
	return nil
}

// flagError says what is wrong with a flag, without the words of Go.
func flagError(cmd *cobra.Command, err error) error {
	cure := `"` + cmd.CommandPath() + ` --help" lists its options`
	var (
		value *pflag.InvalidValueError
		bare  *pflag.ValueRequiredError
		none  *pflag.NotExistError
	)
	switch {
	case errors.As(err, &value):
		name := "--" + value.GetFlag().Name
		if errors.Is(err, errEmptyValue) {
			return usageError{name + ": the value is empty", "leave " + name + " out if it is not meant; an unset variable in a script?"}
		}
		var form unknownForm
		if errors.As(err, &form) {
			return usageError{form.text, form.cure}
		}
		return usageError{fmt.Sprintf("%s: %q %s", name, value.GetValue(), flagProblem(value)), cure}
	case errors.As(err, &bare):
		return usageError{"--" + bare.GetFlag().Name + ": the value is missing", cure}
	case errors.As(err, &none) && cmd.Flags().Changed("watch") && watchTime(none) != "": // -w2s
		return usageError{"-w" + none.GetSpecifiedShortnames() + ": -w takes no time", watchTime(none)}
	case errors.As(err, &none) && strings.Contains(cmd.Use, "FILTER") && strings.ContainsAny(none.GetSpecifiedName(), "0123456789"):
		return usageError{"-" + none.GetSpecifiedShortnames() + " is no option, and no number of a filter is below 0",
			`a mark with all bits set is 0xffffffff; "ctview help filter" tells the language`}
	case errors.As(err, &none) && none.GetSpecifiedShortnames() != "":
		return usageError{"unknown flag: -" + none.GetSpecifiedName(), cure}
	}
	return usageError{err.Error(), cure}
}

// watchTime is the cure where what is no option is the time of -w, "" where it is not.
func watchTime(e *pflag.NotExistError) string {
	if cure, ok := watchCure(e.GetSpecifiedShortnames()); ok {
		return cure
	}
	return ""
}

// flagProblem says why a value is refused.
func flagProblem(e *pflag.InvalidValueError) string {
	switch e.GetFlag().Value.Type() {
	case "bool":
		return "is neither true nor false"
	case "float64":
		return "is not a number"
	case "int":
		if _, err := strconv.ParseInt(e.GetValue(), 0, 0); errors.Is(err, strconv.ErrRange) {
			return "is too large or too small"
		}
		return "is not a whole number"
	}
	return errors.Unwrap(e).Error()
}

#!/usr/bin/env bash
# Lists the tests of bats files and runs some of them, for `orchestrate`. bats itself finds and runs them: this script
# asks it for one file after another, and tells it which tests of a file are wanted.
#
#     bash orchestrate_bats.bash list REPORT BATS ARGUMENT... -- FILE...
#     bash orchestrate_bats.bash run BATS ARGUMENT... -- ID...
#
# An id is FILE::NAME, where NAME is written as in the file.

# Takes the place of bats' own program of this name: bats-exec-suite calls it with a file and the list of the tests that bats
# would run, after bats' own filters. It is a function, which bash finds before a program.
bats-exec-file() (
  trap - DEBUG ERR EXIT
  set +eETu
  file=${*: -2:1} list=${*: -1:1}
  names=() tags=() lines=() commands=() wanted=()
  source=$BATS_RUN_TMPDIR/orchestrate.src
  unset BATS_TEST_FILTER
  bats-preprocess "$file" >"$source" 2>/dev/null

  if [[ -e $BATS_LIBEXEC/bats-gather-tests ]]; then
    # From 1.11 on a file registers its tests while it is read, and may do so by itself.
    bats_test_function() {
      local name= named= of= command
      while (($#)); do
        case $1 in
        --description) name=$2 named=1 && shift 2 ;;
        --tags) of+=,$2 && shift 2 ;;
        --) shift && break ;;
        *) break ;;
        esac
      done
      [[ $named ]] || name=$*
      printf -v command '%q ' "$@"
      names+=("$name") tags+=("$of") commands+=("$command") lines+=("${BASH_LINENO[0]}")
    }
    export BATS_TEST_FILENAME=$file BATS_TEST_DIRNAME=${file%/*} BATS_TEST_NAME=source
    . "$source" >/dev/null 2>&1
  else
    # Before, it names them at its end, by their functions.
    pattern='^[[:blank:]]*@test[[:blank:]]+(.*[^[:blank:]])[[:blank:]]+\{(.*)$'
    function='[[:blank:]]*([^[:blank:]()]+)[[:blank:]]*\(?\)?[[:blank:]]+\{[[:blank:]]+#[[:blank:]]*@test[[:blank:]]*$'
    number=0
    while IFS= read -r line || [[ $line ]]; do
      ((++number))
      line=${line//$'\r'/}
      if [[ $line =~ $pattern || $line =~ $function ]]; then
        name=${BASH_REMATCH[1]#[\'\"]}
        names+=("${name%[\'\"]}") lines+=("$number")
      fi
    done <"$file"
    while IFS= read -r line; do
      of=
      [[ $line =~ ^bats_test_function\ --tags\ \'(.*)\'\ (.*)$ ]] && of=${BASH_REMATCH[1]} line="x ${BASH_REMATCH[2]}"
      tags+=("$of") commands+=("${line#* }")
    done < <(grep '^bats_test_function ' "$source" | tail -n "${#names[@]}")
  fi

  while IFS= read -r line; do
    [[ ${line::${#file}} == "$file" ]] && wanted+=("${line:$((${#file} + 1))}")
  done <"$list"
  # What bats would write to a log of its own was no run.
  [[ ${BATS_RUNLOG_FILE:-/dev/null} == /dev/null ]] || rm -f "$BATS_RUNLOG_FILE"

  path=${file#"$BATS_CWD"/} at=0
  for command in ${wanted[@]+"${wanted[@]}"}; do
    while ((at < ${#commands[@]})) && [[ ${commands[at]% } != "${command% }" ]]; do ((++at)); done
    ((at < ${#commands[@]})) || break
    record "$path" "${names[at]}" "${lines[at]}" "${tags[at]}" >>"$ORCHESTRATE_LISTING"
    # bats counts them.
    echo "ok $at"
    ((++at))
  done
)

# Sets `quoted` to a text as a JSON string.
quote() {
  local text=${1//\\/\\\\} code character
  text=${text//\"/\\\"}
  if [[ $text == *[[:cntrl:]]* ]]; then
    for code in {1..31} 127; do
      printf -v character "\\x$(printf %02x "$code")"
      printf -v code '\\u%04x' "$code"
      text=${text//"$character"/$code}
    done
  fi
  quoted=\"$text\"
}

# Prints a test as a line of a listing.
record() { # FILE NAME LINE TAGS
  local file id of= tag parts quoted
  quote "$1" && file=$quoted
  quote "$1::$2" && id=$quoted
  IFS=, read -ra parts <<<"$4"
  for tag in ${parts[@]+"${parts[@]}"}; do
    tag=${tag#"${tag%%[![:blank:]]*}"} tag=${tag%"${tag##*[![:blank:]]}"}
    [[ $tag ]] && quote "$tag" && of+=${of:+,}$quoted
  done
  printf '{"id":%s,"file":%s,"line":%d,"tags":[%s],"group":%s}\n' "$id" "$file" "$3" "$of" "$file"
}

# Reads the arguments of bats up to `--`, and what is behind it.
#
# `list_arguments` are those that say which tests there are: not those that say how they run, what is written of them, or that
# some run at once. `together` is why all files have to run in one process of bats, if they have.
arguments() {
  arguments=() list_arguments=() others=() timing=(--timing) together='' suite='' recursive=''
  while (($#)); do
    [[ $1 == -- ]] && break
    case $1 in
    -j | --jobs | --parallel-binary-name | -F | --formatter | -o | --output | --code-quote-style | --line-reference-format)
      arguments+=("$1" "${2-}") && shift
      ;;
    --report-formatter)
      # Durations would be in that report, too.
      timing=() together="\`$1\` is about all tests of a run"
      arguments+=("$1" "${2-}") && shift
      ;;
    --gather-test-outputs-in)
      together="\`$1\` is about all tests of a run"
      arguments+=("$1" "${2-}") && shift
      ;;
    --setup-suite-file)
      suite=${2-} together="\`$1\` is run once"
      arguments+=("$1" "${2-}") && shift
      ;;
    -f | --filter | --negative-filter | --filter-status | --filter-tags)
      arguments+=("$1" "${2-}") list_arguments+=("$1" "${2-}") && shift
      ;;
    --no-parallelize-*) arguments+=("$1") ;;
    -p | --pretty | -t | --tap | -T | --timing | -x | --trace | --verbose-run | --print-output-on-failure) arguments+=("$1") ;;
    --show-output-of-passing-tests | --no-tempdir-cleanup | --abort) arguments+=("$1") ;;
    -r | --recursive) recursive=$1 ;;
    *) arguments+=("$1") list_arguments+=("$1") ;;
    esac
    shift
  done
  shift
  others=("$@")
}

# Sets `together` where files are set up together, as bats finds out: by the first of them.
find_suite() { # FILE...
  local file folder
  for file; do
    folder=${file%/*}
    [[ $folder == "$file" ]] && folder=.
    if [[ -e $folder/setup_suite.bash && -z $suite ]]; then
      suite=$folder/setup_suite.bash together="\`${suite#./}\` is run once"
    fi
    if [[ -d $folder/.bats/run-logs && -z $together ]]; then
      together="\`${folder#./}/.bats/run-logs\` has one log for all tests of a run"
    fi
  done
}

# Asks bats for the tests of files.
ask() { # FILE...
  said=$("$bats" ${list_arguments[@]+"${list_arguments[@]}"} --setup-suite-file "${BASH_SOURCE[0]%/*}/orchestrate_bats_suite.bash" \
    --formatter cat "$@" 2>&1)
}

list() {
  export ORCHESTRATE_LISTING=$1
  bats=$2
  arguments "${@:3}"
  if ! command -v "$bats" >/dev/null; then
    echo "cannot start $bats: it is not on PATH; install it, or give its path: \`with = { bats = \"…\" }\`" >&2
    exit 1
  fi
  : >"$1"
  export -f bats-exec-file quote record
  export BATS_NO_FAIL_FOCUS_RUN=1
  find_suite "${others[@]}"
  if ! ask "${others[@]}"; then
    # One of them is the reason: the others have their tests.
    : >"$1"
    local file quoted id
    for file in "${others[@]}"; do
      ask "$file" && continue
      quote "${file#./}" && id=$quoted
      quote "$said"
      printf '{"id":%s,"file":%s,"error":%s}\n' "$id" "$id" "$quoted" >>"$1"
    done
  fi
  local warnings='' one_process=
  if [[ $recursive ]]; then
    quote "\`$recursive\` has no effect: \`files\` names the tests, such as \"test/**/*.bats\""
    warnings=$quoted
  fi
  if [[ $together ]]; then
    quote "$together"
    one_process=,\"one-process\":$quoted
  fi
  printf '{"event":"listed","warnings":[%s]%s}\n' "$warnings" "$one_process" >>"$1"
}

# Sets `pattern` to one that matches these names and no others.
match() { # NAME...
  local name character
  pattern=
  for name; do
    for character in \\ . '[' ']' '(' ')' '{' '}' '*' '+' '?' '^' '$' '|'; do
      name=${name//"$character"/\\"$character"}
    done
    pattern+=${pattern:+|}$name
    # A second test of this name is listed with a number.
    [[ $name =~ ^(.*)#[0-9]+$ ]] && pattern+="|${BASH_REMATCH[1]}"
  done
  pattern="^($pattern)\$"
}

# Runs bats, which reports on standard output.
start() {
  # A file's name that begins with a dash is not an option.
  local files=() file
  while (($#)) && [[ $1 != -- ]]; do
    files+=("$1")
    shift
  done
  shift
  for file; do
    [[ $file == -* ]] && file=./$file
    files+=("$file")
  done
  "$bats" ${arguments[@]+"${arguments[@]}"} --formatter cat ${timing[@]+"${timing[@]}"} "${files[@]}" || status=1
}

run() {
  bats=$1
  arguments "${@:2}"
  local id file pattern path names=() all=() files=() whole=() is_whole=1 status=0 from=0 count
  for id in "${others[@]}"; do
    # A file's name may have `::` in it.
    file=${id%%::*}
    path=${id#*::}
    while [[ ! -f $file && $path == *::* ]]; do
      file+=::${path%%::*}
      path=${path#*::}
    done
    files+=("$file") all+=("${id#"$file"::}")
  done
  find_suite "${files[@]}"
  while ((from < ${#files[@]})); do
    file=${files[from]} names=()
    while ((from < ${#files[@]})) && [[ ${files[from]} == "$file" ]]; do
      names+=("${all[from]}")
      ((++from))
    done
    # A file has no more tests than lines with this word, but for those that it registers by itself.
    count=$(grep -c '@test' <"$file")
    if ((${#names[@]} == count)) || [[ $together ]]; then
      ((${#names[@]} == count)) || is_whole=
      whole+=("$file")
      continue
    fi
    ((${#whole[@]})) && start -- "${whole[@]}"
    whole=()
    match "${names[@]}"
    start --filter "$pattern" -- "$file"
  done
  if [[ $is_whole ]]; then
    ((${#whole[@]})) && start -- "${whole[@]}"
  else
    match "${all[@]}"
    start --filter "$pattern" -- "${whole[@]}"
  fi
  exit "$status"
}

"$@"

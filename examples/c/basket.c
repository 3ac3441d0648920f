// An agent type and a function for Eddy in C: `basket/KEY` counts pieces, `greet` greets. What a component imports and
// exports is wit/platform.wit; build/app.h is made from that.

#include "app.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef eddy_platform_types_failure_t failure_t;
typedef eddy_platform_types_json_t json_t;

static app_string_t text(const char *chars) {
  app_string_t string;
  app_string_set(&string, chars);
  return string;
}

static bool is(const app_string_t *string, const char *chars) {
  return string->len == strlen(chars) && memcmp(string->ptr, chars, string->len) == 0;
}

// What is returned is allocated: the bindings free it when the node has read it.
static void print(json_t *json, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  json->len = vsnprintf(NULL, 0, format, arguments);
  json->ptr = malloc(json->len + 1);
  vsnprintf((char *)json->ptr, json->len + 1, format, again);
  va_end(again);
  va_end(arguments);
}

// The caller's answer. `status` is the HTTP status that it asks for.
static bool fail(failure_t *error, const char *code, const char *message, uint16_t status) {
  memset(error, 0, sizeof *error);
  app_string_dup(&error->code, code);
  app_string_dup(&error->message, message);
  error->status.is_some = true;
  error->status.val = status;
  return false;
}

// A whole number in JSON. Programs with larger arguments take a library for JSON.
static bool number(const json_t *json, long *n) {
  char digits[21] = {0}, *end;
  if (json->len == 0 || json->len >= sizeof digits) return false;
  memcpy(digits, json->ptr, json->len);
  *n = strtol(digits, &end, 10);
  return *end == '\0';
}

static bool read_count(long *n, failure_t *error) {
  app_string_t key = text("count");
  eddy_platform_state_option_value_t found;
  *n = 0;
  if (!eddy_platform_state_get(&key, &found, error)) return false;
  if (found.is_some) {
    number(&found.val.val.json, n);
    eddy_platform_state_option_value_free(&found);
  }
  return true;
}

// Writes are kept by the node until the turn commits.
static bool write_count(long n, failure_t *error) {
  app_string_t key = text("count");
  eddy_platform_types_value_t value = {.tag = EDDY_PLATFORM_TYPES_VALUE_JSON};
  print(&value.val.json, "%ld", n);
  bool written = eddy_platform_state_set(&key, &value, error);
  eddy_platform_types_value_free(&value);
  return written;
}

static bool add(const json_t *argument, json_t *ret, failure_t *error) {
  long n, count;
  if (!number(argument, &n) || n <= 0) {
    return fail(error, "invalid-quantity", "the argument is a number of pieces", 422);
  }
  if (!read_count(&count, error) || !write_count(count + n, error)) return false;
  print(ret, "%ld", count + n);
  return true;
}

// Asks `basket/KEY`, and waits for its answer: at once, and not undone should this turn fail.
static bool count_of(const char *key, size_t length, long *n, failure_t *error) {
  app_string_t type = text("basket"), method = text("count");
  app_string_t other = {(uint8_t *)key, length};
  json_t nothing = {(uint8_t *)"null", 4};
  eddy_platform_effects_own_pending_t pending;
  if (!eddy_platform_effects_call(&type, &other, &method, &nothing, &pending, error)) return false;

  eddy_platform_effects_borrow_pending_t borrowed = eddy_platform_effects_borrow_pending(pending);
  eddy_platform_effects_list_borrow_pending_t all = {&borrowed, 1};
  app_list_u32_t ready;
  bool waited = eddy_platform_effects_wait(&all, &ready, error);
  if (waited) {
    app_list_u32_free(&ready);
    eddy_platform_effects_result_outcome_failure_t taken;
    eddy_platform_effects_method_pending_take(borrowed, &taken);
    if (taken.is_err) {
      *error = taken.val.err;
      waited = false;
    } else {
      number(&taken.val.ok.val.json, n);
      eddy_platform_effects_outcome_free(&taken.val.ok);
    }
  }
  eddy_platform_effects_pending_drop_own(pending);
  return waited;
}

// The argument is the key of another basket, a JSON string. Puts as many pieces into this one as are in that.
static bool copy(const json_t *argument, json_t *ret, failure_t *error) {
  long other, count;
  if (argument->len < 3 || argument->ptr[0] != '"' || memchr(argument->ptr, '\\', argument->len)) {
    return fail(error, "invalid-key", "the argument is the key of a basket", 422);
  }
  if (!count_of((char *)argument->ptr + 1, argument->len - 2, &other, error)) return false;
  if (!read_count(&count, error) || !write_count(count + other, error)) return false;
  app_string_t line = text("copied");
  eddy_platform_context_log(EDDY_PLATFORM_CONTEXT_LOG_LEVEL_INFO, &line);
  print(ret, "%ld", count + other);
  return true;
}

static bool method(const app_string_t *name, const json_t *argument, json_t *ret, failure_t *error) {
  if (is(name, "add")) return add(argument, ret, error);
  if (is(name, "copy")) return copy(argument, ret, error);
  long count;
  if (!read_count(&count, error)) return false;
  print(ret, "%ld", count);
  return true;
}

// What the component defines. Asked once, at deploy.
bool exports_eddy_platform_guest_describe(exports_eddy_platform_guest_definition_t *ret, failure_t *error) {
  static const struct {
    const char *name;
    bool read_only;
  } methods[] = {{"add", false}, {"copy", false}, {"count", true}};
  (void)error;

  ret->functions.len = 1;
  ret->functions.ptr = malloc(sizeof *ret->functions.ptr);
  app_string_dup(&ret->functions.ptr[0], "greet");

  ret->agents.len = 1;
  ret->agents.ptr = malloc(sizeof *ret->agents.ptr);
  exports_eddy_platform_guest_agent_type_t *basket = &ret->agents.ptr[0];
  app_string_dup(&basket->name, "basket");
  basket->methods.len = sizeof methods / sizeof *methods;
  basket->methods.ptr = malloc(basket->methods.len * sizeof *basket->methods.ptr);
  for (size_t i = 0; i < basket->methods.len; i++) {
    app_string_dup(&basket->methods.ptr[i].name, methods[i].name);
    basket->methods.ptr[i].read_only = methods[i].read_only;
  }
  return true;
}

// Runs a function, or one turn of an agent. `false` is the guest's own error: the turn's writes are discarded.
bool exports_eddy_platform_guest_handle(exports_eddy_platform_guest_target_t *target, json_t *argument, json_t *ret,
                                        failure_t *error) {
  bool done = true;
  if (target->tag == EXPORTS_EDDY_PLATFORM_GUEST_TARGET_FUNCTION) {
    // `greet` is the only one. JSON goes into JSON as it is.
    print(ret, "{\"hello\":%.*s}", (int)argument->len, (char *)argument->ptr);
  } else {
    done = method(&target->val.method.f1, argument, ret, error);
  }
  exports_eddy_platform_guest_target_free(target);
  eddy_platform_types_json_free(argument);
  return done;
}

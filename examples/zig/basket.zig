//! An agent type and a function for Eddy in Zig: `basket/KEY` counts pieces, `greet` greets. What a component imports and
//! exports is wit/platform.wit; build/app.h is made from that.

const std = @import("std");
const c = @cImport(@cInclude("app.h"));

const Failure = c.eddy_platform_types_failure_t;
const Json = c.eddy_platform_types_json_t;
const String = c.app_string_t;

/// What is returned is allocated: the bindings free it when the node has read it, with `free`. So this has to be
/// `malloc` itself, and not the allocator that keeps something of its own before each block.
const allocator = std.heap.raw_c_allocator;

/// A panic is a line of the log and a trap: the turn leaves nothing behind. Zig's own handler would want a terminal.
pub const panic = std.debug.FullPanic(struct {
    fn log(message: []const u8, _: ?usize) noreturn {
        var line = text(message);
        c.eddy_platform_context_log(c.EDDY_PLATFORM_CONTEXT_LOG_LEVEL_ERROR, &line);
        @trap();
    }
}.log);

/// The caller's answer: a code of our own, or what the node said.
const Error = error{ InvalidQuantity, InvalidArgument, TooLarge, OutOfMemory, OfNode };

/// Text for the duration of a call.
fn text(slice: []const u8) String {
    return .{ .ptr = @constCast(slice.ptr), .len = slice.len };
}

fn bytes(value: anytype) []const u8 {
    return value.ptr[0..value.len];
}

fn copied(slice: []const u8) Error!String {
    const copy = try allocator.dupe(u8, slice);
    return .{ .ptr = copy.ptr, .len = copy.len };
}

/// A small result. (An allocating writer of Zig 0.15 could read files, and would bring an import of WASI along.)
fn json(value: anytype) Error!Json {
    const buffer = try allocator.alloc(u8, 1024);
    errdefer allocator.free(buffer);
    var writer = std.Io.Writer.fixed(buffer);
    std.json.Stringify.value(value, .{}, &writer) catch return error.TooLarge;
    return .{ .ptr = buffer.ptr, .len = writer.end };
}

fn parsed(comptime T: type, argument: []const u8) Error!std.json.Parsed(T) {
    return std.json.parseFromSlice(T, allocator, argument, .{}) catch error.InvalidArgument;
}

/// One turn of `basket/KEY`.
const Turn = struct {
    /// What the node answered, when that is an error.
    failure: *Failure,

    const Quantity = struct { sku: []const u8 = "apple", qty: i64 = 1 };

    fn add(self: Turn, argument: []const u8) Error!Json {
        const quantity = try parsed(Quantity, argument);
        defer quantity.deinit();
        if (quantity.value.qty <= 0) return error.InvalidQuantity;
        const count = try self.read(quantity.value.sku) + quantity.value.qty;
        try self.write(quantity.value.sku, count);
        return json(.{ .sku = quantity.value.sku, .count = count });
    }

    fn of(self: Turn, argument: []const u8) Error!Json {
        const sku = try parsed([]const u8, argument);
        defer sku.deinit();
        return json(try self.read(sku.value));
    }

    /// Takes over what another basket has of something: asks it, and waits for its answer.
    fn copy(self: Turn, argument: []const u8) Error!Json {
        const Wanted = struct { from: []const u8, sku: []const u8 };
        const wanted = try parsed(Wanted, argument);
        defer wanted.deinit();
        const there = try self.ask(wanted.value.from, try json(wanted.value.sku));
        const count = try self.read(wanted.value.sku) + there;
        try self.write(wanted.value.sku, count);
        return json(.{ .sku = wanted.value.sku, .count = count });
    }

    fn read(self: Turn, sku: []const u8) Error!i64 {
        var key = text(sku);
        var found: c.eddy_platform_state_option_value_t = undefined;
        if (!c.eddy_platform_state_get(&key, &found, self.failure)) return error.OfNode;
        defer c.eddy_platform_state_option_value_free(&found);
        if (!found.is_some) return 0;
        const count = try parsed(i64, bytes(found.val.val.json));
        defer count.deinit();
        return count.value;
    }

    /// Writes are kept by the node until the turn commits.
    fn write(self: Turn, sku: []const u8, count: i64) Error!void {
        var key = text(sku);
        var value = c.eddy_platform_types_value_t{
            .tag = c.EDDY_PLATFORM_TYPES_VALUE_JSON,
            .val = .{ .json = try json(count) },
        };
        defer c.eddy_platform_types_value_free(&value);
        if (!c.eddy_platform_state_set(&key, &value, self.failure)) return error.OfNode;
    }

    /// What `basket/KEY` has: a call happens at once, and is not undone should this turn fail.
    fn ask(self: Turn, basket: []const u8, sku: Json) Error!i64 {
        var agent_type = text("basket");
        var key = text(basket);
        var method = text("of");
        var argument = sku;
        defer c.eddy_platform_types_json_free(&argument);
        var pending: c.eddy_platform_effects_own_pending_t = undefined;
        if (!c.eddy_platform_effects_call(&agent_type, &key, &method, &argument, &pending, self.failure))
            return error.OfNode;
        defer c.eddy_platform_effects_pending_drop_own(pending);

        var borrowed = c.eddy_platform_effects_borrow_pending(pending);
        var all = c.eddy_platform_effects_list_borrow_pending_t{ .ptr = &borrowed, .len = 1 };
        var ready: c.app_list_u32_t = undefined;
        if (!c.eddy_platform_effects_wait(&all, &ready, self.failure)) return error.OfNode;
        c.app_list_u32_free(&ready);

        // One of one is ready, so there is something to take.
        var taken: c.eddy_platform_effects_result_outcome_failure_t = undefined;
        if (!c.eddy_platform_effects_method_pending_take(borrowed, &taken)) unreachable;
        if (taken.is_err) {
            self.failure.* = taken.val.err;
            return error.OfNode;
        }
        defer c.eddy_platform_effects_outcome_free(&taken.val.ok);
        const answer = try parsed(i64, bytes(taken.val.ok.val.json));
        defer answer.deinit();
        return answer.value;
    }
};

const Method = struct {
    name: []const u8,
    read_only: bool,
    run: *const fn (Turn, []const u8) Error!Json,
};

const methods = [_]Method{
    .{ .name = "add", .read_only = false, .run = Turn.add },
    .{ .name = "copy", .read_only = false, .run = Turn.copy },
    .{ .name = "of", .read_only = true, .run = Turn.of },
};

fn greet(argument: []const u8) Error!Json {
    const name = try parsed([]const u8, argument);
    defer name.deinit();
    var buffer: [512]u8 = undefined;
    return json(std.fmt.bufPrint(&buffer, "Hello, {s}!", .{name.value}) catch return error.TooLarge);
}

/// What the component defines. Asked once, at deploy.
export fn exports_eddy_platform_guest_describe(
    ret: *c.exports_eddy_platform_guest_definition_t,
    failure: *Failure,
) bool {
    ret.* = described() catch |err| return failed(err, failure);
    return true;
}

fn described() Error!c.exports_eddy_platform_guest_definition_t {
    const functions = try allocator.alloc(String, 1);
    functions[0] = try copied("greet");
    const listed = try allocator.alloc(c.exports_eddy_platform_guest_method_t, methods.len);
    for (methods, listed) |method, *entry| {
        entry.* = .{ .name = try copied(method.name), .read_only = method.read_only };
    }
    const agents = try allocator.alloc(c.exports_eddy_platform_guest_agent_type_t, 1);
    agents[0] = .{
        .name = try copied("basket"),
        .methods = .{ .ptr = listed.ptr, .len = listed.len },
    };
    return .{
        .functions = .{ .ptr = functions.ptr, .len = functions.len },
        .agents = .{ .ptr = agents.ptr, .len = agents.len },
    };
}

/// Runs a function, or one turn of an agent. `false` is the guest's own error: the turn's writes are discarded.
export fn exports_eddy_platform_guest_handle(
    target: *c.exports_eddy_platform_guest_target_t,
    argument: *Json,
    ret: *Json,
    failure: *Failure,
) bool {
    defer c.exports_eddy_platform_guest_target_free(target);
    defer c.eddy_platform_types_json_free(argument);
    ret.* = handled(target, bytes(argument), failure) catch |err| return failed(err, failure);
    return true;
}

fn handled(target: *c.exports_eddy_platform_guest_target_t, argument: []const u8, failure: *Failure) Error!Json {
    // `greet` is the only function.
    if (target.tag == c.EXPORTS_EDDY_PLATFORM_GUEST_TARGET_FUNCTION) return greet(argument);
    const name = bytes(target.val.method.f1);
    for (methods) |method| {
        if (std.mem.eql(u8, method.name, name)) return method.run(.{ .failure = failure }, argument);
    }
    // The node asks for what was described, and nothing else.
    unreachable;
}

fn failed(err: Error, failure: *Failure) bool {
    const code, const message = switch (err) {
        // Passed on as the node gave it.
        error.OfNode => return false,
        error.InvalidQuantity => .{ "invalid-quantity", "a quantity is 1 or more" },
        error.InvalidArgument => .{ "invalid-argument", "the argument is not as the method takes it" },
        error.TooLarge => .{ "too-large", "the answer is longer than this example can write" },
        error.OutOfMemory => @panic("out of memory"),
    };
    failure.* = std.mem.zeroes(Failure);
    failure.code = copied(code) catch @panic("out of memory");
    failure.message = copied(message) catch @panic("out of memory");
    failure.status = .{ .is_some = true, .val = 422 };
    return false;
}

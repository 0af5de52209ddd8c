// The program that runs in the sandbox before the script: `tools` and `console`, made of one function, `send`, that
// takes only texts. The script may change the built-in objects at will: the other side of `send` trusts nothing, and
// gives each call its number, or a text that says why it is refused.

/** Evaluates to a function that takes `send` and returns the two entrances: `run` and `settle`. */
export const PRELUDE = `(send) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { create, freeze } = Object;
  const Fault = Error, Wrong = TypeError, Later = Promise, text = String;
  const waiting = create(null);
  const waited = (_, value) => {
    if (value instanceof Later) throw new Wrong("a promise is not a value: write await before it");
    return value;
  };
  const call = (name, given) => new Later((resolve, reject) => {
    const json = stringify(given === undefined ? {} : given, waited);
    if (typeof json !== "string" || json[0] !== "{") throw new Wrong("the arguments of a tool are an object");
    // Making it may run code of the script.
    const fault = new Fault("");
    const taken = send("call", name, json);
    if (typeof taken === "string") throw new Fault(taken);
    waiting[taken] = [resolve, reject, fault];
  });
  const nothing = freeze(create(null));
  const fixed = () => { throw new Wrong("tools cannot be changed"); };
  const tools = new Proxy(nothing, {
    get: (_, name) => typeof name !== "string" || name === "then" ? undefined : (given) => call(name, given),
    set: fixed, defineProperty: fixed, deleteProperty: fixed,
  });
  const shown = (value) => {
    if (typeof value === "string") return value;
    if (value instanceof Fault) return text(value);
    try {
      const json = stringify(value);
      return json === undefined ? text(value) : json;
    } catch {
      return "[a value that has no JSON]";
    }
  };
  const log = (...values) => {
    let line = "";
    for (let at = 0; at < values.length; at += 1) line += (at === 0 ? "" : " ") + shown(values[at]);
    send("log", line, "");
  };
  const told = (error) => {
    try {
      if (!(error instanceof Fault)) return "thrown: " + shown(error);
      return text(error) + (typeof error.stack === "string" ? "\\n" + error.stack : "");
    } catch {
      return "an exception that cannot be shown";
    }
  };
  globalThis.tools = tools;
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };
  return {
    run(script) {
      script().then(
        (value) => {
          const json = value === undefined ? "" : stringify(value, waited);
          if (typeof json === "string") send("returned", json, "");
          else throw new Wrong("what a script returns must have a form in JSON");
        },
      ).then(undefined, (error) => { send("failed", told(error), ""); });
    },
    settle(id, outcome, given) {
      const entry = waiting[id];
      if (entry === undefined) return;
      delete waiting[id];
      if (outcome === "value") entry[0](parse(given));
      else {
        // Where the script made the call.
        entry[2].message = given;
        entry[1](entry[2]);
      }
    },
  };
}`;

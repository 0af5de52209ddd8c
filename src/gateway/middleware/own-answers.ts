/** Methods that the gateway answers without a backend. */
export const OWN_ANSWERS: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
]);

/** Methods about tasks, in legacy versions and in MODERN_VERSION. */
export const TASK_METHODS = ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list", "tasks/update"];

/** Methods of the protocol; clients may send any other text. */
export const METHODS: ReadonlySet<string> = new Set([
  ...OWN_ANSWERS,
  ...TASK_METHODS,
  ..."tools/call prompts/get resources/read resources/subscribe resources/unsubscribe".split(" "),
  ..."completion/complete server/discover subscriptions/listen".split(" "),
]);

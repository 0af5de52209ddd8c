// The keys of `[scripts]`.
import { numberKey, toggleKey } from "./schema-keys.ts";

export const scriptsKeys = {
  enabled: toggleKey(
    "access",
    false,
    "Offer the tool `run_script`, with which a client runs a script that calls tools, in a sandbox on this machine.",
  ),
  timeout: numberKey("access", {
    min: 1,
    max: 3600,
    absent: 300,
    unit: "seconds",
    meaning: "How long a script may run, without the time in which a person is asked.",
  }),
};

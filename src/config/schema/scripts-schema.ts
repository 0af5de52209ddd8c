// The keys of `[scripts]`.
import { numberKey, toggleKey } from "./schema-keys.ts";

export const scriptsKeys = {
  enabled: toggleKey("access", false, "Offer the tool `run_script`, which runs scripts in a sandbox."),
  timeout: numberKey("access", {
    min: 1,
    max: 3600,
    absent: 300,
    unit: "seconds",
    meaning: "How long a script may run, without questions to a person.",
  }),
};

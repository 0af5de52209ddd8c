// The lasting problems of the fleet, in words.
import { conditionRows, type LastingCondition } from "../../runtime/conditions/conditions.ts";

const WITHOUT_FLEET = "This machine works without the fleet; the connection is retried automatically.";

export const FLEET_CONDITIONS = {
  ...conditionRows("error", {
    fleet_name_taken: (name: string) => [
      `Another machine of the fleet is also called ${name}`,
      "give one of them another [fleet].name, and its own credentials",
    ],
  }),
  ...conditionRows("warning", {
    fleet_unreachable: (failure: string, hint: string | null) => [
      `The fleet is not reached: ${failure}`,
      hint ?? WITHOUT_FLEET,
    ],
    fleet_calls_unreachable: (failure: string, hint: string | null) => [
      `Tools of other machines, and theirs of this one, are away: ${failure}`,
      hint ?? WITHOUT_FLEET,
    ],
    fleet_machine_away: (machine: string) => [
      `Tools of ${machine} are away: it is not here, or offers nothing`,
      `Is ${machine} on, and does its [fleet].export name a server? mountaineer fleet status shows who is here.`,
    ],
  }),
};

export type FleetConditionName = keyof typeof FLEET_CONDITIONS;
export type FleetCondition = LastingCondition<FleetConditionName>;

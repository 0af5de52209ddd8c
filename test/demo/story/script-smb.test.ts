// The story on real SMB, where the machine has what it takes.
import { missingForPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { testStory } from "../story-contract.ts";

testStory("smb", missingForPlainRig() ?? false);

import { testSeeds } from "./check-seeds.ts";

testSeeds(1);

export {
  type AddressBytes,
  addressFromBigInt,
  addressKeyBytes,
  addressToBigInt,
  type Family,
  familyOf,
  formatAddress,
  formatMac,
  parseAddress,
  parseMac,
} from "./address.ts";
export { formatPrefix, maskAddress, type Prefix, parsePrefix, prefixContains, prefixContainsAddress } from "./prefix.ts";

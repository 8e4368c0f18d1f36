import { parseSchemas } from "./notation.ts";
import type { Schema } from "./schema.ts";

/** The metadata of every object, and selectors (meta/v1). Facts: the Kubernetes API reference. */
const notation = `
ObjectMeta What every object has: its name, its labels, and what the server keeps about it.
  name string -- Unique within the kind and namespace; it never changes.
  generateName string -- A prefix for a name that the server completes.
  namespace string -- The namespace of the object; it never changes.
  selfLink string
  uid string -- Given by the server; unique in time and space.
  resourceVersion string -- The revision that last wrote the object.
  generation int64 -- Counts changes of the desired state.
  creationTimestamp time -- When the server stored it first.
  deletionTimestamp time -- When its deletion was asked for.
  deletionGracePeriodSeconds int64
  labels map:string -- Short values by which objects are selected.
  annotations map:string -- Values that no selector looks at.
  ownerReferences OwnerReference[] key=uid -- Objects without which this one goes too.
  finalizers string[] set -- Who must agree before the object goes.
  managedFields ManagedFieldsEntry[] -- Which manager owns which fields.
OwnerReference An object that another depends on.
  apiVersion! string
  kind! string
  name! string
  uid! string
  controller bool
  blockOwnerDeletion bool
ManagedFieldsEntry The fields of one manager.
  manager string
  operation string
  apiVersion string
  time time
  fieldsType string
  fieldsV1 any
  subresource string
LabelSelector Chooses objects by their labels; all parts must match.
  matchLabels map:string -- Labels with exactly these values.
  matchExpressions LabelSelectorRequirement[] -- Further requirements.
LabelSelectorRequirement One requirement on a label.
  key! string
  operator! string enum=In|NotIn|Exists|DoesNotExist
  values string[]
Condition One observed property of an object.
  type! string
  status! string enum=True|False|Unknown
  observedGeneration int64
  lastTransitionTime! time
  reason! string
  message! string
`;

export const metaSchemas: ReadonlyMap<string, Schema> = parseSchemas(notation, "io.k8s.apimachinery.pkg.apis.meta.v1", new Map());

/** The schema of `metadata`, shared by built-in kinds and custom resources. */
export const objectMetaSchema: Schema = metaSchemas.get("ObjectMeta") ?? {};

/** Volumes of pods. The settings of the individual storage systems are kept as they come. Facts: the Kubernetes API reference. */
export const volumeNotation = `
Volume Storage that containers of a pod can mount.
  awsElasticBlockStore object
  azureDisk object
  azureFile object
  cephfs object
  cinder object
  configMap ConfigMapVolumeSource
  csi object
  downwardAPI object
  emptyDir EmptyDirVolumeSource
  ephemeral object
  fc object
  flexVolume object
  flocker object
  gcePersistentDisk object
  gitRepo object
  glusterfs object
  hostPath HostPathVolumeSource
  image object
  iscsi object
  name! string
  nfs object
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  photonPersistentDisk object
  portworxVolume object
  projected ProjectedVolumeSource
  quobyte object
  rbd object
  scaleIO object
  secret SecretVolumeSource
  storageos object
  vsphereVolume object
ConfigMapVolumeSource The settings of a ConfigMap as files.
  defaultMode int32 default=420
  items KeyToPath[]
  name string
  optional bool
SecretVolumeSource The values of a Secret as files.
  defaultMode int32 default=420
  items KeyToPath[]
  optional bool
  secretName string
KeyToPath One value as one file.
  key! string
  mode int32
  path! string
EmptyDirVolumeSource A folder that lives as long as the pod.
  medium string
  sizeLimit quantity
HostPathVolumeSource A folder of the node.
  path! string
  type string
PersistentVolumeClaimVolumeSource Storage that outlives the pod.
  claimName! string
  readOnly bool
ProjectedVolumeSource Several sources in one folder.
  defaultMode int32 default=420
  sources object[]
`;

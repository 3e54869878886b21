//! Execution providers: what computes a graph in the place of ONNX Runtime's own processor kernels.
//!
//! Invariant: every provider that was asked for is loaded, and the first computes, or loading the model fails and says what is
//! missing. There is no falling back to the processor: a first one that takes no operator of the graph is an error too.

#![expect(unsafe_code, reason = "ort's safe API does not tell which provider took which operator")]

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char},
    fmt, ptr, slice,
    str::FromStr,
};

use ort::{
    AsPointer,
    ep::{self, ExecutionProvider, ExecutionProviderDispatch},
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{Session, builder::SessionBuilder},
};

use crate::Error;

/// What computes a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// The processor; always there, and the last.
    Cpu,
    /// NVIDIA's CUDA.
    Cuda,
    /// NVIDIA's TensorRT; what it does not take goes to CUDA, if that is named after it.
    TensorRt,
    /// Intel's OpenVINO.
    OpenVino,
    /// Microsoft's DirectML.
    DirectMl,
    /// Apple's Core ML.
    CoreMl,
    /// WebGPU by Dawn.
    WebGpu,
}

impl Provider {
    /// All, in the order of documents.
    pub const ALL: [Provider; 7] = [
        Provider::Cpu,
        Provider::Cuda,
        Provider::TensorRt,
        Provider::OpenVino,
        Provider::DirectMl,
        Provider::CoreMl,
        Provider::WebGpu,
    ];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
            Provider::OpenVino => "openvino",
            Provider::DirectMl => "directml",
            Provider::CoreMl => "coreml",
            Provider::WebGpu => "webgpu",
        }
    }

    /// How to get what it needs.
    pub fn mend(self) -> &'static str {
        match self {
            Provider::Cpu => "it is in every build of ONNX Runtime",
            Provider::Cuda => {
                "`cargo xtask start --gpu cuda` fetches ONNX Runtime with it; it needs an NVIDIA driver (libcuda), and CUDA 13 and cuDNN 9 where the loader finds them: PyPI has them (`python3 -m pip install --target DIR nvidia-cuda-runtime nvidia-cublas nvidia-cufft nvidia-curand nvidia-cudnn-cu13`, then LD_LIBRARY_PATH=DIR/nvidia/cu13/lib:DIR/nvidia/cudnn/lib)"
            }
            Provider::TensorRt => {
                "`cargo xtask start --gpu cuda` fetches ONNX Runtime with it; it needs what `cuda` needs, and TensorRT 10 (libnvinfer) where the loader finds it (LD_LIBRARY_PATH)"
            }
            Provider::OpenVino => {
                "PyPI's onnxruntime-openvino has a build of ONNX Runtime with it and its libraries: unpack it and name its libonnxruntime.so with --onnxruntime"
            }
            Provider::DirectMl => "it is in ONNX Runtime for Windows only (onnxruntime-directml)",
            Provider::CoreMl => "it is in ONNX Runtime for macOS only",
            Provider::WebGpu => {
                "PyPI's onnxruntime-webgpu has a build of ONNX Runtime with it: unpack it and name its libonnxruntime.so with --onnxruntime; it needs a Vulkan driver"
            }
        }
    }

    fn dispatch(self, threads: usize) -> ExecutionProviderDispatch {
        match self {
            Provider::Cpu => ep::CPU::default().build(),
            Provider::Cuda => ep::CUDA::default().build(),
            Provider::TensorRt => ep::TensorRT::default().build(),
            Provider::OpenVino => ep::OpenVINO::default().with_num_threads(threads).build(),
            Provider::DirectMl => ep::DirectML::default().build(),
            Provider::CoreMl => ep::CoreML::default().build(),
            Provider::WebGpu => ep::WebGPU::default().build(),
        }
    }

    /// ONNX Runtime's own name.
    fn canonical(self) -> &'static str {
        match self {
            Provider::Cpu => ep::CPU::NAME,
            Provider::Cuda => ep::CUDA::NAME,
            Provider::TensorRt => ep::TensorRT::NAME,
            Provider::OpenVino => ep::OpenVINO::NAME,
            Provider::DirectMl => ep::DirectML::NAME,
            Provider::CoreMl => ep::CoreML::NAME,
            Provider::WebGpu => ep::WebGPU::NAME,
        }
    }

    fn is_built_in(self) -> bool {
        let found = match self {
            Provider::Cpu => ep::CPU::is_available(),
            Provider::Cuda => ep::CUDA::is_available(),
            Provider::TensorRt => ep::TensorRT::is_available(),
            Provider::OpenVino => ep::OpenVINO::is_available(),
            Provider::DirectMl => ep::DirectML::is_available(),
            Provider::CoreMl => ep::CoreML::is_available(),
            Provider::WebGpu => ep::WebGPU::is_available(),
        };
        found.unwrap_or(false)
    }

    /// The memory in which it keeps tensors, where that is not the processor's.
    fn device(self) -> Option<AllocationDevice<'static>> {
        match self {
            Provider::Cuda | Provider::TensorRt => Some(AllocationDevice::CUDA),
            Provider::DirectMl => Some(AllocationDevice::DIRECTML),
            Provider::WebGpu => Some(AllocationDevice::WEBGPU_BUFFER),
            Provider::Cpu | Provider::OpenVino | Provider::CoreMl => None,
        }
    }

    /// Those that the loaded library was built with.
    pub(crate) fn built_in() -> Vec<Provider> {
        Provider::ALL.into_iter().filter(|provider| provider.is_built_in()).collect()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(name: &str) -> Result<Provider, String> {
        let found = Provider::ALL.into_iter().find(|provider| provider.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Provider::ALL.iter().map(|provider| provider.name()).collect();
            format!("`{name}` is no execution provider; there are {}", names.join(", "))
        })
    }
}

/// Registers the providers in their order; `cpu` is what remains and need not be named.
pub(super) fn register(
    mut builder: SessionBuilder,
    providers: &[Provider],
    threads: usize,
) -> Result<SessionBuilder, Error> {
    let devices = || providers.iter().copied().take_while(|provider| *provider != Provider::Cpu);
    if let Some(after) = providers.get(devices().count() + 1) {
        let message = format!("`cpu` computes everything, so that `{after}` after it would compute nothing");
        return Err(Error::Request(message));
    }
    for provider in devices() {
        let failed = |message: String| Error::Provider { provider, message };
        if !provider.is_built_in() {
            let there: Vec<_> = Provider::built_in().iter().map(|provider| provider.name()).collect();
            return Err(failed(format!("this library of ONNX Runtime has only {}", there.join(", "))));
        }
        provider.dispatch(threads).register(&mut builder).map_err(|error| failed(plain(&error)))?;
    }
    let recorded = builder.with_config_entry("session.record_ep_graph_assignment_info", "1");
    recorded.map_err(|error| Error::Inference(error.to_string()))
}

/// What the runtime said, without where in its source it said so.
fn plain(error: &ort::Error) -> String {
    let said = error.to_string();
    let said = [" : FAIL : ", " was false. "]
        .iter()
        .fold(said.as_str(), |said, before| said.rsplit_once(before).map_or(said, |(_, what)| what));
    said.trim().to_owned()
}

/// How many operators of the graph each provider took; an error where the first that was asked for took none.
pub(super) fn shares(session: &Session, providers: &[Provider]) -> Result<BTreeMap<Provider, usize>, Error> {
    let counted = nodes(session).map_err(|error| Error::Inference(error.to_string()))?;
    let share = |provider: Provider| counted.get(provider.canonical()).copied().unwrap_or(0);
    // Those behind it get what it leaves, which may be nothing.
    let first = providers.first().copied().filter(|provider| *provider != Provider::Cpu);
    if let Some(provider) = first.filter(|provider| share(*provider) == 0) {
        let message = "it was loaded, but takes none of this graph's operators".to_owned();
        return Err(Error::Provider { provider, message });
    }
    Ok(Provider::ALL.into_iter().map(|one| (one, share(one))).filter(|(_, nodes)| *nodes > 0).collect())
}

/// Operators by the provider's own name.
fn nodes(session: &Session) -> ort::Result<BTreeMap<String, usize>> {
    let mut counted = BTreeMap::new();
    let api = ort::api();
    let (mut parts, mut count) = (ptr::null(), 0);
    // SAFETY: out-parameters of this call; what it gives belongs to the session, which lives longer than this function.
    unsafe {
        ort::Error::result_from_status((api.Session_GetEpGraphAssignmentInfo)(
            session.ptr(),
            &mut parts,
            &mut count,
        ))?;
    }
    if parts.is_null() {
        return Ok(counted);
    }
    // SAFETY: the runtime gave a list of so many.
    for part in unsafe { slice::from_raw_parts(parts, count) } {
        let (mut name, mut of_part, mut count): (*const c_char, _, _) = (ptr::null(), ptr::null(), 0);
        // SAFETY: as above, of one entry of that list; the name is a C string of the session's.
        let name = unsafe {
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetEpName)(*part, &mut name))?;
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetNodes)(
                *part,
                &mut of_part,
                &mut count,
            ))?;
            CStr::from_ptr(name).to_string_lossy().into_owned()
        };
        *counted.entry(name).or_insert(0) += count;
    }
    Ok(counted)
}

/// Where keys and values are kept: in the memory of the first provider, where it has one of its own.
pub(super) fn memory(providers: &[Provider]) -> ort::Result<Option<MemoryInfo<'static>>> {
    let device = providers.first().and_then(|provider| provider.device());
    device.map(|device| MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default)).transpose()
}
